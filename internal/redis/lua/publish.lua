-- Appends messages to a stream until one fails. KEYS: the stream. ARGV: uuid, metadata and payload of each message.
-- Answers how many were appended, and why the next was not.
for i = 1, #ARGV, 3 do
  local reply = redis.pcall('XADD', KEYS[1], '*', '_watermill_message_uuid', ARGV[i], 'metadata', ARGV[i + 1], 'payload', ARGV[i + 2])
  if type(reply) == 'table' then
    return {(i - 1) / 3, reply.err}
  end
end
return {#ARGV / 3, ''}
