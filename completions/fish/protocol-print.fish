complete -c protocol-print -l to -d 'Write the JSON of a neighbour' -r -f -a "jsonrpc\t'JSON-RPC 2.0: requests and responses'
mcp\t'Model Context Protocol: tools/call and its result'
cloudevents\t'CloudEvents 1.0'
a2a\t'A2A 1.0: messages and tasks'"
complete -c protocol-print -l grammar -d 'Add the words of this file to the built-in ones' -r -F
complete -c protocol-print -s C -l repo -d 'The repository, as if started there' -r -F
complete -c protocol-print -l envelope -d 'Say who, which and when as well: @from= @id= @at='
complete -c protocol-print -l json -d 'Write the normal form of the JSON instead of text'
complete -c protocol-print -s h -l help -d 'Print help (see more with \'--help\')'
complete -c protocol-print -s V -l version -d 'Print version'
