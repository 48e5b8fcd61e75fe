-- Trims what is before an ID and acknowledged by every living group; removes the groups that were silent for too long.
-- KEYS: the stream, the key that notes since when a group has no consumer. ARGV: the ID, the milliseconds of silence.
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

-- A consumer that waits for entries counts as heard each time it asks.
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

-- needs is the first ID that a group may still ask for.
local function needs(group)
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
  elseif above(limit, needs(group)) then
    limit = needs(group)
  end
end
-- The last entry stays: by it a stream is known as ours.
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
if newest and above(limit, newest[1]) then
  limit = newest[1]
end
answer[1] = redis.call('XTRIM', stream, 'MINID', '~', limit)
return answer
