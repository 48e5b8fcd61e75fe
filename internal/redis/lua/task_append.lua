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

-- push hands an entry over, or several that go to one list.
local function push(kind, key, uuid, metadata, payloads)
  if kind == 'exchange' then
    return push_through(cjson.decode(key), payloads[1])
  end
  local wrong = wrong_type(key, kind)
  if wrong then
    return wrong
  end
  if kind == 'list' then
    return redis.pcall('LPUSH', key, unpack(payloads))
  end
  return reserved(key) or redis.pcall('XADD', key, '*',
    '_watermill_message_uuid', uuid, 'metadata', metadata, 'payload', payloads[1])
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

-- with_same_list returns the payloads of an entry and of those right behind it that go to the same list, and where the
-- last of them is. One LPUSH takes them all, or none: what Redis does for a command costs more than the push itself.
local function with_same_list(at)
  local payloads, final = {ARGV[at + 5]}, at
  while ARGV[at + 1] == 'list' and ARGV[final + 7] == 'list' and ARGV[final + 8] == ARGV[at + 2] do
    final = final + 6
    payloads[#payloads + 1] = ARGV[final + 5]
  end
  return payloads, final
end

local status, refused, reason = 'ok', '', ''
local i = 3
while i <= #ARGV do
  local final = i
  if ARGV[i + 1] ~= '' then
    local payloads
    payloads, final = with_same_list(i)
    local reply = safe_push(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], payloads)
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
  last = ARGV[final]
  i = final + 6
end
redis.call('HSET', mark_key, 'last', last)
return {status, epoch, last, 0, refused, reason}
