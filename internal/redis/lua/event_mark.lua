-- Answers the mark of the event stream and its owner. The ID is the stream's own, the epoch the mark's.
if foreign then
  return {'foreign'}
end
local owner = redis.call('HMGET', mark_key, 'installation', 'servers')
return {'ok', epoch, last, 0, '', '', owner[1], owner[2]}
