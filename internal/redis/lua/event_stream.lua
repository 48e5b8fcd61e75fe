-- Where the event stream is, by its own last-generated-id, which survives trimming; the epoch is in the key beside it.
-- KEYS: the stream, the key beside it, a key for a copy of the stream.
local stream, beside = KEYS[1], KEYS[2]
local wrong = wrong_type(stream, 'stream') or wrong_type(beside, 'hash')
if wrong then
  return wrong
end

local exists = redis.call('EXISTS', stream) == 1
local epoch, own = held(beside)
local last = '0-0'
if exists then
  last = field(redis.call('XINFO', 'STREAM', stream), 'last-generated-id')
end

-- The relay never counts as far as this, and a number of Postgres' ends at twice as much.
local beyond = '4611686018427387904-0'

-- ours tells our entries from a stranger's by what they are.
local function ours(entry)
  local fields = entry[2]
  return fields[1] == '_watermill_message_uuid' and #fields == 6 and not above(entry[1], beyond)
    and string.find(fields[6], '"source":"/tactus"', 1, true) ~= nil
end

-- Somebody else appended when the stream is ahead of what we wrote ourselves on this server. When it is elsewhere, because we
-- lost what we wrote or the key beside it, its newest entry tells.
local function is_foreign()
  if not exists or last == own then
    return false
  end
  if above(last, epoch ~= '' and own or beyond) then
    return true
  end
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return newest ~= nil and not ours(newest)
end
local foreign = is_foreign()

-- move sets the last ID without a message.
local function move(id)
  if not exists then
    redis.call('XGROUP', 'CREATE', stream, 'tactus:none', '0', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', stream, 'tactus:none')
  end
  return redis.pcall('XSETID', stream, id)
end
