-- Takes out what somebody else appended, and sets the last ID back to our own. Answers the IDs of what was taken out.
if not foreign then
  return {'ok'}
end
local gone = {'ok'}
if #redis.call('XREVRANGE', stream, own, '-', 'COUNT', 1) == 0 then
  -- Nothing in it is ours: ours was lost before. What a reader missed is published again into a new stream.
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', 1000)) do
    gone[#gone + 1] = entry[1]
  end
  redis.call('DEL', stream)
  return gone
end
for _, entry in ipairs(redis.call('XRANGE', stream, '(' .. own, '+')) do
  redis.call('XDEL', stream, entry[1])
  gone[#gone + 1] = entry[1]
end
if failed(redis.pcall('XSETID', stream, own)) then
  -- Since Redis 7.2 a stream does not go back below what was deleted from it. We go on above: the relay begins an epoch.
  redis.call('HSET', beside, 'last', last)
  return gone
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  if above(field(group, 'last-delivered-id'), own) then
    redis.call('XGROUP', 'SETID', stream, field(group, 'name'), own)
  end
end
return gone
