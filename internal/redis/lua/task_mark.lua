local whose = redis.call('HMGET', state, 'installation', 'servers')
return {'ok', epoch, last, 0, '', '', whose[1], whose[2]}
