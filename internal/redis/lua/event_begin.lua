-- Begins an epoch on the event stream.
-- ARGV: the epoch and last ID that the sink must hold; the epoch and last ID to begin with; installation and server.
if foreign then
  return {'foreign'}
end
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end
-- As in event_append: a server that takes no writes refuses here, before the stream is moved.
redis.call('HSET', mark_key, 'epoch', epoch, 'last', last)
if ARGV[4] ~= last then
  local reply = set_last_id(ARGV[4])
  if failed(reply) then
    return redis.error_reply(reply.err)
  end
end
redis.call('HSET', mark_key, 'epoch', ARGV[3], 'last', ARGV[4])
set_owner(mark_key, ARGV[5], ARGV[6])
return {'ok', ARGV[3], ARGV[4]}
