-- ARGV: epoch, last; then for each entry its id, '' or 'list' or 'exchange' or 'stream', key, uuid, metadata, payload.
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end

-- A server that takes no writes (out of memory, a replica) refuses here; once a script has written, it may finish.
redis.call('HSET', state, 'epoch', epoch, 'last', last)

-- others_queue: a queue of Celery's is gone while it is empty, but what its workers bound it to stays. A stream made in its place
-- would end them.
local function others_queue(key)
  local queue = string.match(key, '^(.-)\6\22%d+$') or key
  if redis.pcall('EXISTS', '_kombu.binding.' .. queue) == 1 and redis.pcall('EXISTS', key) == 0 then
    return redis.error_reply('RESERVED ' .. key .. ' is a queue of Celery workers, and no stream is made of it')
  end
end

local function push(kind, key, uuid, metadata, payload)
  if kind == 'exchange' then
    return through(cjson.decode(key), payload)
  end
  local wrong = wrong_type(key, kind)
  if wrong then
    return wrong
  end
  if kind == 'list' then
    return redis.pcall('LPUSH', key, payload)
  end
  return others_queue(key) or redis.pcall('XADD', key, '*', '_watermill_message_uuid', uuid, 'metadata', metadata, 'payload', payload)
end

-- fit reports whether a command that failed for an entry would do for another key: our own is a hash, so that what gets as
-- far as to look at it says WRONGTYPE. Then the failure is the entry's, whatever words this server has for it. Anything else
-- ails all entries: a command that we may not run, a server that takes nothing.
local function fit(...)
  local reply = redis.pcall(...)
  return failed(reply) and string.find(reply.err, '^WRONGTYPE') ~= nil
end

local function about_the_entry(kind)
  if kind == 'stream' then
    return fit('XADD', state, '*', 'f', 'v')
  end
  return fit('LPUSH', state, '') and (kind == 'list' or fit('SMEMBERS', state))
end

-- pushed is push, but never raises: what is in an entry must not keep the script from its end.
local function pushed(...)
  local ok, reply = pcall(push, ...)
  if ok then
    return reply
  end
  return redis.error_reply('ERR ' .. tostring(type(reply) == 'table' and reply.err or reply))
end

local status, refused, reason = 'ok', '', ''
for i = 3, #ARGV, 6 do
  if ARGV[i + 1] ~= '' then
    local reply = pushed(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
    if failed(reply) then
      refused, reason = ARGV[i], reply.err
      status = about_the_entry(ARGV[i + 1]) and 'refused' or 'ailing'
      break
    end
  end
  last = ARGV[i]
end
redis.call('HSET', state, 'last', last)
return {status, epoch, last, 0, refused, reason}
