-- Appends messages to a stream, and stops at the first that fails, so that a later message is never there without an
-- earlier.
--
-- KEYS: the stream. ARGV: uuid, metadata and payload of each message.
-- Answers how many messages were appended, and the error of the one that failed ('' when none did).
for i = 1, #ARGV, 3 do
  local reply = redis.pcall('XADD', KEYS[1], '*',
    '_watermill_message_uuid', ARGV[i], 'metadata', ARGV[i + 1], 'payload', ARGV[i + 2])
  if type(reply) == 'table' then
    return {(i - 1) / 3, reply.err}
  end
end
return {#ARGV / 3, ''}
