"""A gogochat client, see ../protocol.md. Sends --send to --to, prints what others write, ends when --expect of that have come."""
import argparse, collections, itertools, json, random, ssl, sys, time, urllib.request, uuid, websockets, websockets.sync.client
p = argparse.ArgumentParser(description=__doc__)
for name in ("base", "ca", "name", "password", "to", "expect"): p.add_argument("--" + name)
p.add_argument("--register", action="store_true"), p.add_argument("--send", nargs="*", default=[])
args = p.parse_args()
tls, ids, events = ssl.create_default_context(cafile=args.ca), itertools.count(1), collections.deque()
outbox = collections.deque({"clientMsgId": str(uuid.uuid4()), "text": text} for text in args.send)  # An id outlives every repeat.
seen, heads, talks, got = {}, {}, {}, set()  # log -> last seq here; conversation -> Head; user -> conversation; others' messages
def rest(path, **body):
    request = urllib.request.Request(args.base + path, json.dumps(body).encode(), {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request, context=tls, timeout=10))
def receive():
    frame = json.loads(ws.recv())
    if "ping" in frame: ws.send(json.dumps({"pong": frame["ping"]}))
    if "event" in frame: events.append(frame["event"])
    if end := frame.get("close", frame.get("resync")):  # Resync: events were dropped; beginning anew fetches them.
        raise (ConnectionError if end.get("reconnect", True) else RuntimeError)(end)
    return frame
def call(method, **body):
    frame = {"id": next(ids), "method": "gogochat.v1." + method, "key": body.get("conversationId", ""), "body": body}
    ws.send(json.dumps({"call": frame}))
    while (reply := receive().get("reply", {})).get("id") != frame["id"]: pass
    if "error" in reply: raise (ConnectionError if int(reply["error"]["retryAfterMs"]) else RuntimeError)(reply["error"])
    return reply["body"]
def fetch(log, last):
    while seen.get(log, 0) < last:
        for event in call("ChatService/ListEvents", conversationId=log, afterSeq=str(seen.get(log, 0)))["events"]: take(event, True)
def take(event, paged=False):
    log, seq, last = event["logId"], int(event["seq"]), seen.get(event["logId"], 0)
    if seq <= last or (seq > last + 1 and not paged): return fetch(log, seq)  # Here already: fetches nothing. Or after a gap.
    seen[log] = seq
    if a := event.get("contactAccepted"): talks[a["peer"]["id"]] = a["conversationId"]
    if "message" in event and event["senderId"] != session["user"]["id"]:
        got.add((log, seq)), print(event["message"]["text"], flush=True)
        ws.send(json.dumps({"marks": {"marks": [{"conversationId": log, "deliveredSeq": str(seq)}]}}))
def sync(own, page={"nextPageToken": "", "ownLastSeq": "inf"}):
    while page["nextPageToken"] or seen[own] < float(page["ownLastSeq"]):
        page = call("SyncService/Sync", ownSeq=str(seen[own]), known=[*heads.values()][:1000], pageToken=page["nextPageToken"])
        for event in page["ownEvents"]: take(event)
        for c in page["conversations"]:
            heads[c["id"]], talks[c.get("peer", {}).get("id")] = c["head"], c["id"]
            fetch(c["id"], int(c["head"]["lastSeq"]))
def run():
    ws.send(json.dumps({"hello": {"accessToken": session["accessToken"], "client": "chat.py/1"}}))
    welcome = receive()["welcome"]
    seen.setdefault(welcome["userId"], int(welcome["ownSeq"])), sync(welcome["userId"])
    peer = args.to and {p["name"]: p["id"] for p in call("SocialService/FindPeople", query=args.to)["people"]}[args.to]
    if peer and peer not in talks: call("SocialService/RequestContact", userId=peer)
    while outbox or len(got) < int(args.expect or 0):
        if outbox and peer in talks: call("ChatService/SendMessage", conversationId=talks[peer], **outbox[0]) and outbox.popleft()
        else: take(events.popleft()) if events else receive()
session = rest("/v1/accounts" if args.register else "/v1/sessions", name=args.name, password=args.password)
while outbox or len(got) < int(args.expect or 0):
    try:
        with websockets.sync.client.connect("wss" + args.base[5:] + "/ws", ssl=tls, subprotocols=["gogochat.v1.json"]) as ws: run()
    except (OSError, websockets.WebSocketException): time.sleep(random.uniform(0.2, 2))  # ConnectionError is an OSError.
    except RuntimeError as error:
        if error.args[0]["code"] != 4004: sys.exit(str(error))  # 4004: the access token has expired.
        session = rest("/v1/sessions/refresh", refreshToken=session["refreshToken"])
