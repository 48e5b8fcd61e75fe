-- Trims the entries before an ID that every living group has acknowledged, and destroys the groups that are silent for
-- too long. Answers how many entries were trimmed, then the names of the destroyed groups.
--
-- A group holds back the trim until it has acknowledged an entry, and a dead group never does. So a group counts as
-- dead when it has been silent for the given time:
--
--   it has consumers     the least idle time of any consumer
--   it has none          the time since a trim first found it without one, which is noted in a hash beside the stream
--
-- KEYS: the stream, the hash of notes. ARGV: the ID, the silence in milliseconds.
local stream, notes = KEYS[1], KEYS[2]
local wrong = wrong_type(stream, 'stream') or wrong_type(notes, 'hash')
if wrong then
  return wrong
end
if redis.call('EXISTS', stream) == 0 then
  return {0}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- silence returns for how many milliseconds a group has been silent. A consumer's idle time begins anew with each read,
-- even one that finds nothing.
local function silence(name)
  local least
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, name)) do
    least = math.min(least or math.huge, field(consumer, 'idle'))
  end
  if least then
    redis.call('HDEL', notes, name)
    return least
  end
  redis.call('HSETNX', notes, name, now)
  return now - redis.call('HGET', notes, name)
end

-- needed_from returns the ID from which on a group may still need entries: its oldest pending one, else the last it was
-- given.
local function needed_from(group)
  if field(group, 'pending') > 0 then
    return redis.call('XPENDING', stream, field(group, 'name'))[2]
  end
  return field(group, 'last-delivered-id')
end

local answer, limit = {0}, ARGV[1]
for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local name = field(group, 'name')
  if silence(name) > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DESTROY', stream, name)
    redis.call('HDEL', notes, name)
    answer[#answer + 1] = name
  elseif above(limit, needed_from(group)) then
    limit = needed_from(group)
  end
end
-- The newest entry stays: if the mark is lost, the scripts recognize the stream as ours by it (see event_state.lua).
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
if newest and above(limit, newest[1]) then
  limit = newest[1]
end
answer[1] = redis.call('XTRIM', stream, 'MINID', '~', limit)
return answer
