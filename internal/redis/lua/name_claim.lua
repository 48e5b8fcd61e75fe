-- Claims a name for a holder, or extends its claim. Answers 1 when the holder has the name now, 0 when another has it.
-- KEYS: the name's key. ARGV: the holder, the length of the claim in milliseconds.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
