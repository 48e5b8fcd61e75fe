-- ARGV: epoch and last, as they are; epoch and last, as they are to be; installation and server.
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end
redis.call('HSET', state, 'epoch', ARGV[3], 'last', ARGV[4])
belongs(state, ARGV[5], ARGV[6])
return {'ok', ARGV[3], ARGV[4]}
