-- Where the event stream stands. Two keys know, and they can disagree:
--
--   last     the stream's own last-generated-id, which survives trimming and deletion
--   marked   the last ID in the mark, which only our scripts write
--
--   last = marked                         as we left it
--   last > marked, the mark has an epoch  somebody else appended (foreign)
--   last < marked                         our entries were lost; foreign if the newest entry is not ours
--   no mark                               the mark was lost; foreign if the newest entry is not ours, or above id_limit
--
-- A foreign entry must go: its ID is usually the clock's milliseconds, far above our batch numbers, and XADD refuses
-- every ID that is not above the newest. With it in place the relay could never append again.
--
-- KEYS: the stream, its mark, a scratch key for a copy of the stream.
local stream, mark_key = KEYS[1], KEYS[2]
local wrong = wrong_type(stream, 'stream') or wrong_type(mark_key, 'hash')
if wrong then
  return wrong
end

local exists = redis.call('EXISTS', stream) == 1
local epoch, marked = read_mark(mark_key)
local last = '0-0'
if exists then
  last = field(redis.call('XINFO', 'STREAM', stream), 'last-generated-id')
end

local id_limit = most_foreign .. '-0'

-- is_ours reports whether an entry is one of ours, by its shape: Watermill's three fields, and an event that names
-- tactus as its source.
local function is_ours(entry)
  local fields = entry[2]
  return fields[1] == '_watermill_message_uuid' and #fields == 6 and not above(entry[1], id_limit)
    and string.find(fields[6], '"source":"/tactus"', 1, true) ~= nil
end

local function is_foreign()
  if not exists or last == marked then
    return false
  end
  if above(last, epoch ~= '' and marked or id_limit) then
    return true
  end
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return newest ~= nil and not is_ours(newest)
end
local foreign = is_foreign()

-- set_last_id moves the stream's last-generated-id without adding an entry. XSETID needs a stream, and only XADD and
-- XGROUP CREATE can make one: the group is removed at once.
local function set_last_id(id)
  if not exists then
    redis.call('XGROUP', 'CREATE', stream, 'tactus:none', '0', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', stream, 'tactus:none')
  end
  return redis.pcall('XSETID', stream, id)
end
