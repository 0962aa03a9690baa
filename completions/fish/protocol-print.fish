complete -c protocol-print -l grammar -d 'Add the words of this file to the built-in ones' -r -F
complete -c protocol-print -l envelope -d 'Say who, which and when as well: @from= @id= @at='
complete -c protocol-print -s h -l help -d 'Print help (see more with \'--help\')'
complete -c protocol-print -s V -l version -d 'Print version'
