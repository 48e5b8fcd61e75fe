-- Appends events to the stream, each with its notice, and moves the stream's last ID to the end of the call.
--
-- ARGV: the epoch and last ID that the sink must hold, the ID to end at, the channel for notices ('' for none); then
-- for each event its ID, uuid, metadata and payload, and its notice when there is a channel.
if foreign then
  return {'foreign'}
end
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end

-- This write changes nothing, but it makes a server that takes no writes (out of memory, a replica) refuse the script
-- here, before anything is written. Redis lets a script that has written run to its end.
redis.call('HSET', mark_key, 'epoch', epoch, 'last', last)

local to, channel, pcall = ARGV[3], ARGV[4], redis.pcall
local each = channel == '' and 4 or 5
local unpublished, refused, reason = 0, '', ''
for i = 5, #ARGV, each do
  local id = ARGV[i]
  local reply = pcall('XADD', stream, id,
    '_watermill_message_uuid', ARGV[i + 1], 'metadata', ARGV[i + 2], 'payload', ARGV[i + 3])
  if failed(reply) then
    refused, reason = id, reply.err
    break
  end
  exists, last = true, id
  if each == 5 and ARGV[i + 4] ~= '' and failed(pcall('PUBLISH', channel, ARGV[i + 4])) then
    unpublished = unpublished + 1
  end
end
-- Entries at the end of a call may have no event: the last ID moves past them, as if they had been appended.
if reason == '' and last ~= to then
  local reply = set_last_id(to)
  if failed(reply) then
    refused, reason = to, reply.err
  else
    last = to
  end
end
-- A script does not roll back. The mark names the last entry that was written, so that the next append begins behind
-- it.
redis.call('HSET', mark_key, 'last', last)
-- All events have the same shape, so a failure is the stream's or the server's and never one event's: 'failed', not
-- 'refused'.
return {reason == '' and 'ok' or 'failed', epoch, last, unpublished, refused, reason}
