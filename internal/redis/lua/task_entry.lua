-- What may ail an entry, for the scripts that hand runs over, or look whether they could be.

-- reserved returns an error when a stream has the name of a Celery queue that is empty now. Redis removes an empty
-- list, but the bindings that the workers made for it stay. A stream in the queue's place would make their BRPOP fail,
-- and end them.
local function reserved(key)
  local queue = string.match(key, '^(.-)\6\22%d+$') or key
  if redis.pcall('EXISTS', '_kombu.binding.' .. queue) == 1 and redis.pcall('EXISTS', key) == 0 then
    return redis.error_reply('RESERVED ' .. key .. ' is a queue of Celery workers, and no stream is made of it')
  end
end

-- reached_mark reports, by the reply to a command on the mark, whether Redis would run the same command on another key.
-- The mark is a hash, so a command that gets as far as to look at the key fails with WRONGTYPE and changes nothing,
-- while a command that is not allowed, or a server that takes no writes, fails before. This does not depend on how a
-- version of Redis words its errors.
local function reached_mark(reply)
  return failed(reply) and string.find(reply.err, '^WRONGTYPE') ~= nil
end

-- entry_at_fault reports whether a push failed because of its entry.
local function entry_at_fault(kind)
  if kind == 'stream' then
    return reached_mark(redis.pcall('XADD', mark_key, '*', 'f', 'v'))
  end
  return reached_mark(redis.pcall('LPUSH', mark_key, ''))
    and (kind == 'list' or reached_mark(redis.pcall('SMEMBERS', mark_key)))
end
