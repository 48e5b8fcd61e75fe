-- ARGV: epoch, last, channel; then for each entry its id, '1' if it has a message, uuid, metadata, payload, notice.
if foreign then
  return {'foreign'}
end
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end

-- A server that takes no writes (out of memory, a replica) refuses here; once a script has written, it may finish.
redis.call('HSET', beside, 'epoch', epoch, 'last', last)

local written, unpublished, refused, reason = last, 0, '', ''
for i = 4, #ARGV, 6 do
  local id = ARGV[i]
  if ARGV[i + 1] == '1' then
    local reply = redis.pcall('XADD', stream, id, '_watermill_message_uuid', ARGV[i + 2], 'metadata', ARGV[i + 3], 'payload', ARGV[i + 4])
    if failed(reply) then
      refused, reason = id, reply.err
      break
    end
    exists, written = true, id
    if ARGV[i + 5] ~= '' and failed(redis.pcall('PUBLISH', ARGV[3], ARGV[i + 5])) then
      unpublished = unpublished + 1
    end
  end
  last = id
end
if written ~= last then
  local reply = move(last)
  if failed(reply) then
    last, refused, reason = written, last, reply.err
  end
end
redis.call('HSET', beside, 'last', last)
return {reason == '' and 'ok' or 'refused', epoch, last, unpublished, refused, reason}
