_tactus() {
	local -a found
	found=("${(@f)$("${words[1]}" completion words -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	compadd -a found
}
compdef _tactus tactus
