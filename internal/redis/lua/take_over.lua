-- Makes an installation the owner of a sink, and answers which installation owned it before ('' for none).
-- KEYS: the mark. ARGV: installation and server.
local wrong = wrong_type(KEYS[1], 'hash')
if wrong then
  return wrong
end
local was = redis.call('HGET', KEYS[1], 'installation') or ''
set_owner(KEYS[1], ARGV[1], ARGV[2])
return was
