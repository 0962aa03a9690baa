// COUNT messages of a JetStream subject with nats.c, fetched by 256, each acknowledged, the last of a fetch confirmed.
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int left = atoi(argv[5]);
    natsOptions *opts = NULL;
    natsConnection *conn = NULL;
    natsSubscription *sub = NULL;
    jsCtx *js = NULL;
    natsStatus s = natsOptions_Create(&opts);
    if (s == NATS_OK) s = natsOptions_SetURL(opts, argv[1]);
    if (s == NATS_OK) s = natsOptions_SetUserInfo(opts, argv[2], argv[3]);
    if (s == NATS_OK) s = natsConnection_Connect(&conn, opts);
    if (s == NATS_OK) s = natsConnection_JetStream(&js, conn, NULL);
    if (s == NATS_OK) s = js_PullSubscribe(&sub, js, argv[4], "native", NULL, NULL, NULL);
    while (s == NATS_OK && left > 0) {
        natsMsgList list;
        s = natsSubscription_Fetch(&list, sub, left < 256 ? left : 256, 5000, NULL);
        if (s != NATS_OK) break;
        for (int n = 0; n < list.Count && s == NATS_OK; n++)
            s = n + 1 < list.Count ? natsMsg_Ack(list.Msgs[n], NULL) : natsMsg_AckSync(list.Msgs[n], NULL, NULL);
        left -= list.Count;
        natsMsgList_Destroy(&list);
    }
    if (s != NATS_OK) fprintf(stderr, "nats_fetch: %s\n", natsStatus_GetText(s));
    return s != NATS_OK;
}
