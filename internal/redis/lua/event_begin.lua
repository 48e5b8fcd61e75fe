-- ARGV: epoch and last, as they are; epoch and last, as they are to be; installation and server.
if foreign then
  return {'foreign'}
end
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end
redis.call('HSET', beside, 'epoch', epoch, 'last', last)
if ARGV[4] ~= last then
  local reply = move(ARGV[4])
  if failed(reply) then
    return redis.error_reply(reply.err)
  end
end
redis.call('HSET', beside, 'epoch', ARGV[3], 'last', ARGV[4])
belongs(beside, ARGV[5], ARGV[6])
return {'ok', ARGV[3], ARGV[4]}
