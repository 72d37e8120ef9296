# zsh -f complete.zsh FOLDER LINE: what an interactive zsh offers for LINE, each as <<OFFER ...>>. FOLDER has the completions.
zmodload zsh/zpty
zpty shell zsh -f -i
# compadd as the completions call it also prints what fits; options of its own that only ask are left alone.
zpty -w shell "fpath=($1 \$fpath); PROMPT=; autoload -Uz compinit; compinit -D -u
compadd () { [[ \${@[1,(i)(-|--)]} == *-(O|A|D)* ]] && { builtin compadd \"\$@\"; return }
    local -a fits; builtin compadd -A fits \"\$@\"; print -r -- \"<<\$fits>>\"; builtin compadd \"\$@\" }
bindkey '^I' complete-word; print REA''DY"
zpty -r -m shell ready '*READY*'
zpty -w -n shell "$2"$'\t\x15exit\n'
while zpty -r shell piece; do print -rn -- $piece; done
