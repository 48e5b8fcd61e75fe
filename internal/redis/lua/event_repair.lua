-- Deletes the entries that somebody else appended to the event stream, and sets its last ID back to our own newest.
-- It answers how many entries were deleted, and the IDs of the first and the last of them.
--
--   before   1-1  1-2  1-3  1764374400000-0   last-generated-id 1764374400000-0, mark 1-3
--   after    1-1  1-2  1-3                    last-generated-id 1-3, groups that were ahead set back to 1-3
--
-- The groups are set back because they have been given the foreign entry: with a last-delivered-id above our IDs they
-- would not be given our next entries.
if not foreign then
  return {'ok', 0, '', ''}
end
local gone, first, final = 0, '', ''

-- marked_holds reports whether the stream reaches as far as the mark, as it does when the stream was not lost. Then
-- every entry above the mark is foreign, even one that looks like ours.
local marked_holds = epoch ~= '' and above(last, marked)

-- newest_of_ours returns the ID of our newest entry, or nil.
local function newest_of_ours()
  local from = marked_holds and marked or '+'
  while true do
    local page = redis.call('XREVRANGE', stream, from, '-', 'COUNT', 100)
    for _, entry in ipairs(page) do
      if is_ours(entry) then
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
  -- No entry is ours: ours were lost before the foreign ones came. Without the stream the sink counts as empty, and the
  -- relay publishes again what its readers missed.
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if oldest then
    local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    gone, first, final = redis.call('XLEN', stream), oldest[1], newest[1]
  end
  redis.call('DEL', stream)
  return {'ok', gone, first, final}
end
-- The mark may be above our newest entry, when it ended with an event-less entry. The mark stays the end, unless it is
-- lost or a foreign entry lies between.
local nearest = redis.call('XREVRANGE', stream, marked, '-', 'COUNT', 1)[1]
if not marked_holds or nearest[1] ~= kept then
  marked = kept
end

while true do
  local page = redis.call('XRANGE', stream, '(' .. marked, '+', 'COUNT', 500)
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

-- rewrite copies our entries, the groups and their pending entries to another stream, and renames it to this one.
local function rewrite()
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
  redis.call('XSETID', copy, marked)
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local name, seen = field(group, 'name'), field(group, 'last-delivered-id')
    redis.call('XGROUP', 'CREATE', copy, name, above(seen, marked) and marked or seen)
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

-- How the last ID is set back:
--
--   Redis 6 and 7.0   by XSETID
--   since Redis 7.2   XSETID refuses an ID below the greatest deleted one, so the stream is rewritten
--
-- A stream longer than most_copied is not rewritten, because the copying would block the server. Instead the mark moves
-- up to the foreign ID, and the relay begins a new epoch above it. A foreign ID above id_limit leaves no IDs for a new
-- epoch: then even a long stream is rewritten.
local most_copied = 100000
if failed(redis.pcall('XSETID', stream, marked)) then
  if redis.call('XLEN', stream) <= most_copied or above(last, id_limit) then
    rewrite()
  elseif epoch ~= '' then
    redis.call('HSET', mark_key, 'last', last)
  end
  return {'ok', gone, first, final}
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  if above(field(group, 'last-delivered-id'), marked) then
    redis.call('XGROUP', 'SETID', stream, field(group, 'name'), marked)
  end
end
return {'ok', gone, first, final}
