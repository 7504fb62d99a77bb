# Interactive shells: bash reads this itself, and by /etc/profile when somebody logs in.
[ -n "$PS1" ] || return
shopt -s checkwinsize
PS1='\u@\h:\w\$ '
[ -r /etc/bash_completion.d/xe ] && . /etc/bash_completion.d/xe
