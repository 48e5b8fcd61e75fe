-- Gives the entry of a dead letter to its group again, and deletes the dead letter. The script makes the entry pending
-- with a consumer that does not exist, idle for a day: the next consumer of the group that claims abandoned entries
-- receives it.
--
-- KEYS: the stream, its dead letters. ARGV: the ID of the dead letter.
--
-- Answers 'again', 'none' (no such dead letter), 'gone' (the stream no longer has the entry) or 'nobody' (no such
-- group).
local letter = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
if not letter then
  return 'none'
end
local entry, group
for i = 1, #letter[2], 2 do
  if letter[2][i] == 'tactus-id' then
    entry = letter[2][i + 1]
  elseif letter[2][i] == 'tactus-group' then
    group = letter[2][i + 1]
  end
end
if not entry or #redis.call('XRANGE', KEYS[1], entry, entry) == 0 then
  return 'gone'
end
local pending = redis.pcall('XPENDING', KEYS[1], group, entry, entry, 1)
if pending.err then
  return 'nobody'
end
if #pending == 0 then
  redis.call('XCLAIM', KEYS[1], group, 'tactus:deadletters', 0, entry, 'IDLE', 86400000, 'FORCE', 'JUSTID')
end
redis.call('XDEL', KEYS[2], ARGV[1])
return 'again'
