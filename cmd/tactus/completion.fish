complete -c tactus -f -a '(tactus completion words -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
