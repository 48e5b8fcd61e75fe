-- Answers the mark of a task sink and its owner.
local owner = redis.call('HMGET', mark_key, 'installation', 'servers')
return {'ok', epoch, last, 0, '', '', owner[1], owner[2]}
