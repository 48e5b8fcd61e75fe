-- Where the event stream is, by its own last-generated-id, which survives trimming; the epoch is in the key beside it.
-- KEYS: the stream, the key beside it.
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

-- Somebody else appended when the stream is ahead of what we wrote ourselves on this server.
local foreign = epoch ~= '' and above(last, own)

-- move sets the last ID without a message.
local function move(id)
  if not exists then
    redis.call('XGROUP', 'CREATE', stream, 'tactus:none', '0', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', stream, 'tactus:none')
  end
  return redis.pcall('XSETID', stream, id)
end
