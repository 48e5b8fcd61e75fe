if foreign then
  return {'foreign'}
end
local whose = redis.call('HMGET', beside, 'installation', 'servers')
return {'ok', epoch, last, 0, '', '', whose[1], whose[2]}
