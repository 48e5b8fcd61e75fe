-- Begins an epoch on a task sink.
-- ARGV: the epoch and last ID that the sink must hold; the epoch and last ID to begin with; installation and server.
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end
redis.call('HSET', mark_key, 'epoch', ARGV[3], 'last', ARGV[4])
set_owner(mark_key, ARGV[5], ARGV[6])
return {'ok', ARGV[3], ARGV[4]}
