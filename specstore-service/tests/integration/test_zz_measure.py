import time, threading, resource, os, csv, io
import psutil, pytest

def tree():
    me = psutil.Process()
    rows = []
    for p in [me, *me.children(recursive=True)]:
        try:
            if p.name() in ("postgres",) or "postgres" in " ".join(p.cmdline())[:200]: continue
            m = p.memory_full_info()
            rows.append((p.name(), m.rss >> 20, m.pss >> 20, m.uss >> 20))
        except psutil.Error: pass
    return rows

def test_small(api, workers, db):
    flows = [api.uploaded(dataset=f"d{i}") for i in range(15)]
    workers.run(f"{flows[0]}/reds")
    def cpu():
        u = resource.getrusage(resource.RUSAGE_SELF); return u.ru_utime + u.ru_stime
    t = time.time(); c = cpu(); n = 0
    while waiting := workers.waiting():
        for p in waiting:
            workers.run(p); n += 1
    print(f"\nMEASURE sequential: {n} pipelines, {(time.time()-t)/n*1000:.1f} ms each, own cpu {(cpu()-c)/n*1000:.1f} ms")
    flows = [api.uploaded(dataset=f"d{i}") for i in range(15)]
    t = time.time(); n = 0
    while waiting := workers.waiting():
        it = iter(waiting); lock = threading.Lock()
        def go():
            while True:
                with lock: p = next(it, None)
                if p is None: return
                workers.run(p)
        ts = [threading.Thread(target=go) for _ in range(4)]
        [x.start() for x in ts]; [x.join() for x in ts]; n += len(waiting)
    print(f"MEASURE four at once: {n} pipelines, {(time.time()-t)/n*1000:.1f} ms each")

@pytest.mark.timeout(900)
def test_large(api, workers, client, a_token):
    rows = "id,name,price,day,ok\n" + "".join(f"{i},name {i},{i/100:.2f},2020-01-1{i%9},true\n" for i in range(1_500_000))
    client.application.config["MAX_CONTENT_LENGTH"] = None
    assert client.put("/source/ann/files/reds.csv", data=rows.encode(), headers={"Auth-Token": a_token()}).status_code == 200
    print(f"\nMEASURE size {len(rows)>>20} MiB"); del rows
    fields = [{"name": n, "type": t} for n, t in (("id","integer"),("name","string"),("price","number"),("day","date"),("ok","boolean"))]
    flow = api.uploaded(resources=[{"name": "reds", "path": "reds.csv", "schema": {"fields": fields}}])
    stop = threading.Event(); peak = []
    def watch():
        while not stop.wait(0.3): 
            peak.append(tree())
    w = threading.Thread(target=watch); w.start()
    t = time.time()
    ts = [threading.Thread(target=workers.run, args=(p,)) for p in workers.waiting()]
    [x.start() for x in ts]; [x.join() for x in ts]
    print(f"MEASURE four large pipelines: {time.time()-t:.1f} s")
    stop.set(); w.join()
    most = max(peak, key=lambda rows: sum(r[2] for r in rows))
    print("MEASURE peak PSS (name, rss, pss, uss):", most, "sum pss without pytest", sum(r[2] for r in most[1:]))
    assert api.status(flow).json["state"] == "INPROGRESS"
