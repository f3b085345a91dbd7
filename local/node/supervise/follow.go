package supervise

import (
	"context"
	"time"

	"k8s.io/client-go/tools/cache"
)

// retryAfter is how soon something is reconciled again that failed: mostly the API server is away.
const retryAfter = time.Second

// follow reconciles in the background whenever a watched object has changed, until the context ends. Changes that come at
// once are one.
func follow(ctx context.Context, reconcile func(context.Context) error, watched ...cache.SharedIndexInformer) {
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // it will be looked at anyway
		}
	}
	for _, informer := range watched {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(any, any) { notify() },
			DeleteFunc: func(any) { notify() },
		}); err != nil {
			say("follow the cluster: %v", err) // only one that has been stopped refuses a handler
		}
		go informer.Run(ctx.Done())
	}
	go func() {
		for _, informer := range watched {
			cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			if err := reconcile(ctx); err != nil && ctx.Err() == nil {
				say("%v", err)
				time.AfterFunc(retryAfter, notify)
			}
		}
	}()
}
