return {'ok', epoch, last}
