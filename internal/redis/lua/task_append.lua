-- Hands runs over: pushes each to its list, through its exchange, or to its task stream.
--
-- ARGV: the epoch and last ID that the sink must hold; then for each entry its ID, its kind ('list', 'exchange',
-- 'stream', or '' when there is nothing to hand over), key, uuid, metadata, payload.
--
-- A call ends at the first entry that fails, with one of three answers. They differ in what happens next:
--
--   later     the call has done enough: the sink calls again for this entry and those behind it
--   refused   the entry's own fault, such as a key of another type: the relay sets it aside and goes on behind it
--   failed    anything else, such as a server out of memory: the relay tries again, and sets nothing aside
--
-- Were a server's failure taken for the entry's, one full Redis would send every run to the dead letters.
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end

-- This write changes nothing, but it makes a server that takes no writes (out of memory, a replica) refuse the script
-- here, before anything is written. Redis lets a script that has written run to its end.
redis.call('HSET', mark_key, 'epoch', epoch, 'last', last)

local function push(kind, key, uuid, metadata, payload)
  if kind == 'exchange' then
    return push_through(cjson.decode(key), payload)
  end
  local wrong = wrong_type(key, kind)
  if wrong then
    return wrong
  end
  if kind == 'list' then
    return redis.pcall('LPUSH', key, payload)
  end
  return reserved(key) or redis.pcall('XADD', key, '*',
    '_watermill_message_uuid', uuid, 'metadata', metadata, 'payload', payload)
end

-- safe_push is push, but returns an error where push would raise one: the script must get to the end, where it moves
-- the mark.
local function safe_push(...)
  local ok, reply = pcall(push, ...)
  if ok then
    return reply
  end
  return redis.error_reply('ERR ' .. tostring(type(reply) == 'table' and reply.err or reply))
end

local status, refused, reason = 'ok', '', ''
for i = 3, #ARGV, 6 do
  if ARGV[i + 1] ~= '' then
    local reply = safe_push(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
    if failed(reply) then
      refused, reason = ARGV[i], reply.err
      if string.find(reply.err, '^LATER') then
        status = 'later'
      else
        status = entry_at_fault(ARGV[i + 1]) and 'refused' or 'failed'
      end
      break
    end
  end
  last = ARGV[i]
end
redis.call('HSET', mark_key, 'last', last)
return {status, epoch, last, 0, refused, reason}
