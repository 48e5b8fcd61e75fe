-- ARGV: epoch, last; then for each entry its id, '' or 'list' or 'exchange' or 'stream', key, uuid, metadata, payload.
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {'mismatch', epoch, last}
end

-- A server that takes no writes (out of memory, a replica) refuses here; once a script has written, it may finish.
redis.call('HSET', state, 'epoch', epoch, 'last', last)

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
  return redis.pcall('XADD', key, '*', '_watermill_message_uuid', uuid, 'metadata', metadata, 'payload', payload)
end

local refused, reason = '', ''
for i = 3, #ARGV, 6 do
  if ARGV[i + 1] ~= '' then
    local reply = push(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
    if failed(reply) then
      refused, reason = ARGV[i], reply.err
      break
    end
  end
  last = ARGV[i]
end
redis.call('HSET', state, 'last', last)
return {reason == '' and 'ok' or 'refused', epoch, last, 0, refused, reason}
