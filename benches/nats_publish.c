// Messages to JetStream with nats.c, one unless COUNT says more, all confirmed: what a native client costs.
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 5 && argc != 6) return 2;
    int count = argc == 6 ? atoi(argv[5]) : 1;
    char body[1024];
    memset(body, 'x', sizeof body);
    natsOptions *opts = NULL;
    natsConnection *conn = NULL;
    jsCtx *js = NULL;
    jsPubAck *ack = NULL;
    natsStatus s = natsOptions_Create(&opts);
    if (s == NATS_OK) s = natsOptions_SetURL(opts, argv[1]);
    if (s == NATS_OK) s = natsOptions_SetUserInfo(opts, argv[2], argv[3]);
    if (s == NATS_OK) s = natsConnection_Connect(&conn, opts);
    if (s == NATS_OK) s = natsConnection_JetStream(&js, conn, NULL);
    if (s == NATS_OK && count == 1) s = js_Publish(&ack, js, argv[4], body, sizeof body, NULL, NULL);
    for (int n = 0; s == NATS_OK && count > 1 && n < count; n++) s = js_PublishAsync(js, argv[4], body, sizeof body, NULL);
    if (s == NATS_OK && count > 1) s = js_PublishAsyncComplete(js, NULL);
    if (s != NATS_OK) fprintf(stderr, "nats_publish: %s\n", natsStatus_GetText(s));
    return s != NATS_OK;
}
