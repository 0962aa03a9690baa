// COUNT messages of a queue with librabbitmq, 256 at a time on their way, acknowledged by 64.
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    unsigned long count = strtoul(argv[5], NULL, 10);
    amqp_connection_state_t conn = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(conn);
    if (amqp_socket_open(socket, "127.0.0.1", atoi(argv[1]))) return 1;
    amqp_rpc_reply_t reply = amqp_login(conn, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, argv[2], argv[3]);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) return 1;
    amqp_channel_open(conn, 1);
    amqp_basic_qos(conn, 1, 0, 256, 0);
    amqp_basic_consume(conn, 1, amqp_cstring_bytes(argv[4]), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    for (unsigned long n = 1; n <= count; n++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(conn);
        if (amqp_consume_message(conn, &envelope, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL) return 1;
        if ((n % 64 == 0 || n == count) && amqp_basic_ack(conn, 1, envelope.delivery_tag, 1)) return 1;
        amqp_destroy_envelope(&envelope);
    }
    // The server has read them when it answers what comes after them.
    amqp_basic_qos(conn, 1, 0, 256, 0);
    return 0;
}
