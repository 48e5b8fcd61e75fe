-- ARGV: epoch, last, the ID to move to, channel; then for each message its id, uuid, metadata, payload, and its notice when
-- there is a channel.
if foreign then
  return {'foreign'}
end
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end

-- A server that takes no writes (out of memory, a replica) refuses here; once a script has written, it may finish.
redis.call('HSET', beside, 'epoch', epoch, 'last', last)

local to, channel, pcall = ARGV[3], ARGV[4], redis.pcall
local each = channel == '' and 4 or 5
local unpublished, refused, reason = 0, '', ''
for i = 5, #ARGV, each do
  local id = ARGV[i]
  local reply = pcall('XADD', stream, id, '_watermill_message_uuid', ARGV[i + 1], 'metadata', ARGV[i + 2], 'payload', ARGV[i + 3])
  if failed(reply) then
    refused, reason = id, reply.err
    break
  end
  exists, last = true, id
  if each == 5 and ARGV[i + 4] ~= '' and failed(pcall('PUBLISH', channel, ARGV[i + 4])) then
    unpublished = unpublished + 1
  end
end
if reason == '' and last ~= to then
  local reply = move(to)
  if failed(reply) then
    refused, reason = to, reply.err
  else
    last = to
  end
end
redis.call('HSET', beside, 'last', last)
-- Nothing is ever the matter with an event: it is the stream that takes none.
return {reason == '' and 'ok' or 'ailing', epoch, last, unpublished, refused, reason}
