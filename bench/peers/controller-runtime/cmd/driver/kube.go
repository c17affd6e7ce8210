package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// kube is a minimal API client: JSON over one HTTP/2 connection for calls, and
// another for watches.
type kube struct {
	server, token string
	calls, watch  *http.Client
}

func newKube(server, token string) *kube {
	c := func() *http.Client {
		return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	}
	return &kube{server, token, c(), c()}
}

func (k *kube) req(ctx context.Context, method, path, contentType, accept string, body []byte) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, k.server+path, bytes.NewReader(body))
	must(err)
	r.Header.Set("Authorization", "Bearer "+k.token)
	r.Header.Set("Accept", accept)
	r.Header.Set("User-Agent", "peer-bench")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// do makes one call and decodes the answer into out (unless nil). A busy API
// server is asked again: right after its definition, a resource's storage is.
func (k *kube) do(method, path, contentType, accept string, body []byte, out any) error {
	var resp *http.Response
	for attempt := range 10 {
		var err error
		resp, err = k.calls.Do(k.req(context.Background(), method, path, contentType, accept, body))
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusTooManyRequests || attempt == 9 {
			break
		}
		resp.Body.Close()
		time.Sleep(time.Second)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		b, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s %s: %d %.300s", method, path, resp.StatusCode, b)
	}
	if out == nil {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// object is the part of any object that the driver looks at.
type object struct {
	Metadata struct {
		Name              string
		Namespace         string
		Generation        int64
		ResourceVersion   string
		DeletionTimestamp string
		OwnerReferences   []struct{ Kind, Name string }
	}
	Status struct {
		ObservedGeneration int64
		Conditions         []struct{ Type, Status string }
	}
}

func (o *object) key() string { return o.Metadata.Namespace + "/" + o.Metadata.Name }

const (
	jsonType   = "application/json"
	mergePatch = "application/merge-patch+json"
	metaOnly   = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	metaList   = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
)

// watchAll lists, then watches a resource in every namespace until ctx ends.
func (k *kube) watchAll(ctx context.Context, path, selector string, metadataOnly bool, on func(typ string, o *object)) {
	list, accept := jsonType, jsonType
	if metadataOnly {
		list, accept = metaList, metaOnly
	}
	q := url.Values{"labelSelector": {selector}}
	var l struct {
		Metadata struct{ ResourceVersion string }
		Items    []object
	}
	must(k.do("GET", path+"?"+q.Encode(), "", list, nil, &l))
	for i := range l.Items {
		on("ADDED", &l.Items[i])
	}
	rv := l.Metadata.ResourceVersion
	go func() {
		for ctx.Err() == nil {
			q.Set("watch", "true")
			q.Set("timeoutSeconds", "3600")
			q.Set("resourceVersion", rv)
			resp, err := k.watch.Do(k.req(ctx, "GET", path+"?"+q.Encode(), "", accept, nil))
			if err != nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			for d := json.NewDecoder(resp.Body); ; {
				var e struct {
					Type   string
					Object object
				}
				if d.Decode(&e) != nil {
					break
				}
				if e.Type == "ERROR" {
					fatal("watch %s: expired; the run is void", path)
				}
				rv = e.Object.Metadata.ResourceVersion
				on(e.Type, &e.Object)
			}
			resp.Body.Close()
		}
	}()
}
