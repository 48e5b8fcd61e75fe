-- Takes out what somebody else appended, and sets the last ID back to our own. Answers how many entries it took out, the first
-- and the last of them.
if not foreign then
  return {'ok', 0, '', ''}
end
local gone, first, final = 0, '', ''

-- The newest entry of ours. What is above what we know to have written is none, whatever it looks like.
local written = epoch ~= '' and above(last, own)
local function newest_of_ours()
  local from = written and own or '+'
  while true do
    local page = redis.call('XREVRANGE', stream, from, '-', 'COUNT', 100)
    for _, entry in ipairs(page) do
      if ours(entry) then
        return entry[1]
      end
      from = '(' .. entry[1]
    end
    if #page == 0 then
      return
    end
  end
end

local kept = newest_of_ours()
if not kept then
  -- Nothing in it is ours: ours was lost before. What a reader missed is published again into a new stream.
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if oldest then
    gone, first, final = redis.call('XLEN', stream), oldest[1], redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1][1]
  end
  redis.call('DEL', stream)
  return {'ok', gone, first, final}
end
local nearest = redis.call('XREVRANGE', stream, own, '-', 'COUNT', 1)[1]
if not written or nearest[1] ~= kept then
  own = kept
end

while true do
  local page = redis.call('XRANGE', stream, '(' .. own, '+', 'COUNT', 500)
  if #page == 0 then
    break
  end
  for _, entry in ipairs(page) do
    if first == '' then
      first = entry[1]
    end
    gone, final = gone + 1, entry[1]
    redis.call('XDEL', stream, entry[1])
  end
end

-- again writes our entries, groups and what these have not acknowledged into another stream, which takes the place of this one.
local function again()
  local copy = KEYS[3]
  redis.call('DEL', copy)
  local from = '-'
  while true do
    local page = redis.call('XRANGE', stream, from, '+', 'COUNT', 500)
    if #page == 0 then
      break
    end
    for _, entry in ipairs(page) do
      redis.call('XADD', copy, entry[1], unpack(entry[2]))
    end
    from = '(' .. page[#page][1]
  end
  redis.call('XSETID', copy, own)
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local name, seen = field(group, 'name'), field(group, 'last-delivered-id')
    redis.call('XGROUP', 'CREATE', copy, name, above(seen, own) and own or seen)
    local pending = '-'
    while true do
      local page = redis.call('XPENDING', stream, name, pending, '+', 500)
      if #page == 0 then
        break
      end
      for _, p in ipairs(page) do
        redis.call('XCLAIM', copy, name, p[2], 0, p[1], 'IDLE', p[3], 'RETRYCOUNT', p[4], 'FORCE', 'JUSTID')
        pending = '(' .. p[1]
      end
    end
  end
  redis.call('RENAME', copy, stream)
end

-- Since Redis 7.2 a stream does not go back below what was deleted from it. It is written anew, unless it is long: that would
-- keep others waiting, and we go on above, in a new epoch. Above the end of our numbers there is nothing to go on with.
local affordable = 100000
if failed(redis.pcall('XSETID', stream, own)) then
  if redis.call('XLEN', stream) <= affordable or above(last, beyond) then
    again()
  elseif epoch ~= '' then
    redis.call('HSET', beside, 'last', last)
  end
  return {'ok', gone, first, final}
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  if above(field(group, 'last-delivered-id'), own) then
    redis.call('XGROUP', 'SETID', stream, field(group, 'name'), own)
  end
end
return {'ok', gone, first, final}
