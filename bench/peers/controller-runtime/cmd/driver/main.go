// driver drives an operator through create, update, restart and delete of N
// objects and measures it. See bench/README.md.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	server      = flag.String("server", "https://127.0.0.1:36443", "API server")
	token       = flag.String("token", "tok-bench", "bearer token of the driver")
	group       = flag.String("group", "peer.dev", "API group of the custom resource")
	version     = flag.String("version", "v1alpha1", "API version")
	plural      = flag.String("plural", "instances", "plural name")
	template    = flag.String("template", "config/instance-r0.json", "object with {{name}} and {{namespace}}")
	update      = flag.String("update", `{"spec":{"config":{"REV":"2"}}}`, "merge patch of the update phase")
	children    = flag.String("children", "v1/configmaps,v1/services,apps/v1/deployments", "resources every object gets, found by owner reference")
	childSel    = flag.String("child-selector", "app.kubernetes.io/managed-by=peer-operator", "label selector of the children")
	n           = flag.Int("n", 200, "objects")
	namespaces  = flag.Int("namespaces", 10, "namespaces to spread them over")
	namespace   = flag.String("namespace", "bench-%d", "their names; made when they do not exist")
	concurrency = flag.Int("concurrency", 32, "parallel requests of the driver")
	rate        = flag.Float64("rate", 0, "objects created per second (0: as fast as it can)")
	opCmd       = flag.String("operator", "", "command line of the operator")
	opLog       = flag.String("operator-log", "operator.log", "its output")
	metricsURL  = flag.String("metrics-url", "", "operator metrics, to time a restart (else its CPU going quiet)")
	mReconciles = flag.String("metric-reconciles", "controller_runtime_reconcile_total", "metric: reconciles done")
	mDepth      = flag.String("metric-depth", "workqueue_depth", "metric: queued")
	pids        = flag.String("pids", "", "name=pid,... of the cluster's processes, for their CPU time")
	auditLog    = flag.String("audit-log", "audit.log", "the API server's audit log: one line per write of the operator")
	limit       = flag.Duration("limit", 5*time.Minute, "give up on a phase after this long")
	label       = flag.String("label", "go", "name of the operator in the result")
	out         = flag.String("out", "", "append the result to this file (JSON lines)")
)

type phase struct {
	Seconds     float64            `json:"seconds"`               // until all converged
	IssuedS     float64            `json:"issued_s,omitempty"`    // until the driver's last request was answered
	ChildrenMs  *quantiles         `json:"children_ms,omitempty"` // request answered -> all children seen
	ReadyMs     *quantiles         `json:"ready_ms,omitempty"`    // request answered -> converged
	ChildrenGoS float64            `json:"children_gone_s,omitempty"`
	CPUQuietS   float64            `json:"cpu_quiet_s,omitempty"`
	CPU         map[string]float64 `json:"cpu_s"`
	CalibMs     float64            `json:"calib_ms"`
	Busy        float64            `json:"busy_cores"` // whole machine
	RSS         float64            `json:"rss_mib"`
	Peak        float64            `json:"peak_mib"`
	Writes      map[string]int     `json:"writes"`
	WritesTotal int                `json:"writes_total"`
}

type quantiles struct{ P50, P99, Max float64 }

func quantile(ms []float64) *quantiles {
	if len(ms) == 0 {
		return nil
	}
	slices.Sort(ms)
	at := func(p float64) float64 { return float64(int(10*ms[min(len(ms)-1, int(p*float64(len(ms))))])) / 10 }
	return &quantiles{at(.5), at(.99), at(1)}
}

// item is what is known of one object.
type item struct {
	ns, name              string
	issued                time.Time // last request answered
	want                  int64     // generation to converge on
	children, ready, gone time.Time
	childMask             int
	generation, observed  int64
	isReady               bool
}

func (i *item) converged() bool {
	return i.isReady && i.want > 0 && i.generation >= i.want && i.observed == i.generation
}

type bench struct {
	k        *kube
	mu       sync.Mutex
	items    map[string]*item
	order    []*item
	childN   int // children alive
	childAll int // mask of a full set
	op       *operator
	audit    *audit
	cpu0     map[string]float64
	busy0    float64
	t0       time.Time
	calib    float64
}

func (b *bench) path(ns string) string {
	p := "/apis/" + *group + "/" + *version
	if ns != "" {
		p += "/namespaces/" + ns
	}
	return p + "/" + *plural
}

// settle recomputes an object's convergence; callers hold mu.
func (i *item) settle() {
	if i.ready.IsZero() && i.converged() {
		i.ready = time.Now()
	}
}

func (b *bench) onObject(typ string, o *object) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.items[o.key()]
	if i == nil {
		return
	}
	if typ == "DELETED" {
		i.gone = time.Now()
		return
	}
	i.generation, i.observed, i.isReady = o.Metadata.Generation, o.Status.ObservedGeneration, false
	for _, c := range o.Status.Conditions {
		i.isReady = i.isReady || c.Type == "Ready" && c.Status == "True"
	}
	i.settle()
}

func (b *bench) onChild(bit int) func(string, *object) {
	return func(typ string, o *object) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if typ == "DELETED" {
			b.childN--
			return
		}
		if typ != "ADDED" {
			return
		}
		b.childN++
		for _, r := range o.Metadata.OwnerReferences {
			if i := b.items[o.Metadata.Namespace+"/"+r.Name]; i != nil {
				if i.childMask |= 1 << bit; i.childMask == b.childAll && i.children.IsZero() {
					i.children = time.Now()
				}
			}
		}
	}
}

// each calls f for every object from -concurrency workers, paced by perSecond.
func (b *bench) each(perSecond float64, f func(*item)) time.Duration {
	t0 := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range *concurrency {
		wg.Go(func() {
			for {
				k := int(next.Add(1)) - 1
				if k >= len(b.order) {
					return
				}
				if perSecond > 0 {
					time.Sleep(time.Until(t0.Add(time.Duration(float64(k) / perSecond * float64(time.Second)))))
				}
				f(b.order[k])
			}
		})
	}
	wg.Wait()
	return time.Since(t0)
}

// await polls until done, and fails the run at the limit.
func (b *bench) await(what string, done func() bool) {
	for end := time.Now().Add(*limit); ; time.Sleep(5 * time.Millisecond) {
		b.mu.Lock()
		ok := done()
		b.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			left := 0
			for _, i := range b.order {
				if !i.converged() {
					left++
				}
			}
			fatal("%s: not done after %s (%d not converged)", what, *limit, left)
		}
	}
}

// all is true when every item has the given time set.
func (b *bench) all(at func(*item) time.Time) func() bool {
	from := 0 // the ones before are done
	return func() bool {
		for from < len(b.order) && !at(b.order[from]).IsZero() {
			from++
		}
		return from == len(b.order)
	}
}

func (b *bench) latencies(at func(*item) time.Time) *quantiles {
	var ms []float64
	for _, i := range b.order {
		if t := at(i); !t.IsZero() {
			ms = append(ms, max(0, float64(t.Sub(i.issued).Microseconds())/1000))
		}
	}
	return quantile(ms)
}

// cpu is CPU seconds of everything involved, by name.
func (b *bench) cpu() map[string]float64 {
	m := map[string]float64{"driver": cpuSeconds(os.Getpid()), "operator": cpuSeconds(b.op.pid())}
	for _, entry := range strings.Split(*pids, ",") {
		name, value, _ := strings.Cut(entry, "=")
		var pid int
		if _, err := fmt.Sscan(value, &pid); err == nil {
			m[name] = cpuSeconds(pid)
		}
	}
	return m
}

func (b *bench) begin() {
	b.calib = calibrate()
	b.cpu0, b.busy0, b.t0 = b.cpu(), busySeconds(), time.Now()
}

func (b *bench) end(p *phase) *phase {
	p.CalibMs = b.calib
	p.CPU, p.Busy = b.cpu(), round((busySeconds()-b.busy0)/time.Since(b.t0).Seconds())
	for k, v := range p.CPU {
		p.CPU[k] = round(v - b.cpu0[k])
	}
	p.RSS, p.Peak = memMiB(b.op.pid(), "VmRSS"), memMiB(b.op.pid(), "VmHWM")
	p.Writes = b.audit.take()
	for _, v := range p.Writes {
		p.WritesTotal += v
	}
	return p
}

func (b *bench) create(body string) *phase {
	b.begin()
	t0 := time.Now()
	issued := b.each(*rate, func(i *item) {
		obj := strings.NewReplacer("{{name}}", i.name, "{{namespace}}", i.ns).Replace(body)
		var o object
		must(b.k.do("POST", b.path(i.ns), jsonType, jsonType, []byte(obj), &o))
		b.mu.Lock()
		i.issued, i.want = time.Now(), o.Metadata.Generation
		i.settle()
		b.mu.Unlock()
	})
	b.await("create", b.all(func(i *item) time.Time { return i.ready }))
	b.await("children", b.all(func(i *item) time.Time { return i.children }))
	return b.end(&phase{Seconds: secs(t0), IssuedS: round(issued.Seconds()),
		ChildrenMs: b.latencies(func(i *item) time.Time { return i.children }),
		ReadyMs:    b.latencies(func(i *item) time.Time { return i.ready })})
}

func (b *bench) update() *phase {
	for _, i := range b.order {
		i.want, i.ready = 0, time.Time{}
	}
	b.begin()
	t0 := time.Now()
	issued := b.each(0, func(i *item) {
		var o object
		must(b.k.do("PATCH", b.path(i.ns)+"/"+i.name, mergePatch, jsonType, []byte(*update), &o))
		b.mu.Lock()
		i.issued, i.want = time.Now(), o.Metadata.Generation
		i.settle()
		b.mu.Unlock()
	})
	b.await("update", b.all(func(i *item) time.Time { return i.ready }))
	return b.end(&phase{Seconds: secs(t0), IssuedS: round(issued.Seconds()),
		ReadyMs: b.latencies(func(i *item) time.Time { return i.ready })})
}

// restart stops the operator, starts it again over N converged objects, and
// waits until it has looked at all of them.
func (b *bench) restart() *phase {
	b.op.idle(2*time.Second, *limit)
	b.op.stop()
	b.audit.take()
	b.begin()
	b.cpu0["operator"] = 0
	t0 := time.Now()
	b.op.start()
	var done time.Time
	if *metricsURL != "" {
		b.await("restart", func() bool {
			time.Sleep(25 * time.Millisecond)
			return metricSum(*metricsURL, *mReconciles) >= float64(*n) && metricSum(*metricsURL, *mDepth) == 0
		})
		done = time.Now()
	}
	quiet := b.op.idle(2*time.Second, *limit)
	if done.IsZero() {
		done = quiet
	}
	return b.end(&phase{Seconds: round(done.Sub(t0).Seconds()), CPUQuietS: round(quiet.Sub(t0).Seconds())})
}

// rest does nothing for a minute.
func (b *bench) rest() *phase {
	b.begin()
	t0 := time.Now()
	time.Sleep(time.Minute)
	return b.end(&phase{Seconds: secs(t0)})
}

func (b *bench) remove() *phase {
	b.begin()
	t0 := time.Now()
	issued := b.each(0, func(i *item) {
		must(b.k.do("DELETE", b.path(i.ns)+"/"+i.name, jsonType, jsonType, []byte(`{"propagationPolicy":"Background"}`), nil))
		b.mu.Lock()
		i.issued = time.Now()
		b.mu.Unlock()
	})
	b.await("delete", b.all(func(i *item) time.Time { return i.gone }))
	gone := secs(t0)
	b.await("children gone", func() bool { return b.childN == 0 })
	return b.end(&phase{Seconds: gone, IssuedS: round(issued.Seconds()), ChildrenGoS: secs(t0),
		ReadyMs: b.latencies(func(i *item) time.Time { return i.gone })})
}

func main() {
	flag.Parse()
	body, err := os.ReadFile(*template)
	must(err)
	b := &bench{k: newKube(*server, *token), items: map[string]*item{}, op: &operator{cmdline: *opCmd, log: *opLog},
		audit: &audit{path: *auditLog}}
	for i := range *namespaces {
		ns := fmt.Sprintf(*namespace, i)
		err := b.k.do("POST", "/api/v1/namespaces", jsonType, jsonType, []byte(`{"metadata":{"name":"`+ns+`"}}`), nil)
		if err != nil && !strings.Contains(err.Error(), " 409 ") {
			must(err)
		}
		// pods need it
		b.await("service account", func() bool {
			return b.k.do("GET", "/api/v1/namespaces/"+ns+"/serviceaccounts/default", "", jsonType, nil, nil) == nil
		})
	}
	for i := range *n {
		it := &item{ns: fmt.Sprintf(*namespace, i%*namespaces), name: fmt.Sprintf("i%05d", i)}
		b.items[it.ns+"/"+it.name] = it
		b.order = append(b.order, it)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.k.watchAll(ctx, b.path(""), "", false, b.onObject)
	for bit, c := range strings.Split(*children, ",") {
		b.childAll |= 1 << bit
		prefix := "/apis/"
		if strings.HasPrefix(c, "v1/") {
			prefix = "/api/"
		}
		b.k.watchAll(ctx, prefix+c, *childSel, true, b.onChild(bit))
	}

	b.op.start()
	defer b.op.stop()
	b.op.idle(2*time.Second, *limit)
	emptyRSS := memMiB(b.op.pid(), "VmRSS")
	b.audit.take()

	res := map[string]any{"label": *label, "n": *n, "template": filepath.Base(*template), "rate": *rate, "at": time.Now().Format(time.RFC3339), "empty_rss_mib": emptyRSS}
	for _, ph := range []struct {
		name string
		f    func() *phase
	}{{"create", func() *phase { return b.create(string(body)) }}, {"update", b.update}, {"restart", b.restart}, {"idle", b.rest}, {"delete", b.remove}} {
		p := ph.f()
		res[ph.name] = p
		s, _ := json.Marshal(p)
		fmt.Fprintf(os.Stderr, "%-8s %s\n", ph.name, s)
	}
	line, _ := json.Marshal(res)
	if *out == "" {
		fmt.Println(string(line))
		return
	}
	f, err := os.OpenFile(*out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(err)
	_, err = f.Write(append(line, '\n'))
	must(err)
	must(f.Close())
}

func round(s float64) float64       { return float64(int(s*1000+.5)) / 1000 }
func secs(t time.Time) float64      { return round(time.Since(t).Seconds()) }
func fatal(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...); os.Exit(1) }
func must(err error) {
	if err != nil {
		fatal("%v", err)
	}
}
