if foreign then
  return {'foreign'}
end
return {'ok', epoch, last}
