-- Makes what is behind a key another's. KEYS: the key. ARGV: installation and server.
local wrong = wrong_type(KEYS[1], 'hash')
if wrong then
  return wrong
end
local was = redis.call('HGET', KEYS[1], 'installation') or ''
belongs(KEYS[1], ARGV[1], ARGV[2])
return was
