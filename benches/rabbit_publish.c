// Persistent messages to a queue with librabbitmq, one unless COUNT says more, all confirmed: what a native client costs.
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 5 && argc != 6) return 2;
    unsigned long count = argc == 6 ? strtoul(argv[5], NULL, 10) : 1, acked = 0;
    static char body[1024];
    memset(body, 'x', sizeof body);
    amqp_connection_state_t conn = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(conn);
    if (amqp_socket_open(socket, "127.0.0.1", atoi(argv[1]))) return 1;
    amqp_rpc_reply_t reply = amqp_login(conn, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, argv[2], argv[3]);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) return 1;
    amqp_channel_open(conn, 1);
    amqp_confirm_select(conn, 1);
    amqp_basic_properties_t props = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    amqp_bytes_t bytes = {.len = sizeof body, .bytes = body};
    for (unsigned long n = 0; n < count; n++)
        if (amqp_basic_publish(conn, 1, amqp_empty_bytes, amqp_cstring_bytes(argv[4]), 1, 0, &props, bytes)) return 1;
    while (acked < count) {
        amqp_frame_t frame;
        if (amqp_simple_wait_frame(conn, &frame)) return 1;
        if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) return 1;
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        // A quorum queue confirms in order: `multiple` or not, the tag is how far it came.
        acked = ack->multiple || ack->delivery_tag == acked + 1 ? ack->delivery_tag : acked + 1;
        amqp_maybe_release_buffers(conn);
    }
    return 0;
}
