package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
)

const (
	fieldManager = "holdfast-node"
	// applyPatience is for what appears only after something else of the same set: a namespace, the kinds of a CRD.
	applyPatience = time.Minute
)

// manifest is one object of a file.
type manifest struct {
	file   string
	object *unstructured.Unstructured
}

func (m manifest) String() string {
	return fmt.Sprintf("%s %s of %s", m.object.GetKind(), m.object.GetName(), m.file)
}

// loadManifests reads the objects of a folder's YAML and JSON files, in the order of the files' names, without the
// files of disabled add-ons. A folder that is not there has none.
func loadManifests(folder string, disabled []string) ([]manifest, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifests: %w", err)
	}
	var all []manifest
	for _, entry := range entries {
		extension := filepath.Ext(entry.Name())
		if entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, extension) {
			continue
		}
		if slices.Contains(disabled, strings.TrimSuffix(entry.Name(), extension)) {
			continue
		}
		objects, err := readManifest(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// readManifest reads every document of a file; a List gives its items.
func readManifest(path string) ([]manifest, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a manifest: %w", err)
	}
	defer file.Close()
	var all []manifest
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for document := 1; ; document++ {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s, document %d: %w", path, document, err)
		}
		if len(object.Object) == 0 {
			continue // nothing but comments
		}
		items, err := flatten(object)
		if err != nil {
			return nil, fmt.Errorf("%s, document %d: %w", path, document, err)
		}
		for _, item := range items {
			all = append(all, manifest{path, item})
		}
	}
}

func flatten(object *unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	if object.IsList() {
		var items []*unstructured.Unstructured
		err := object.EachListItem(func(item runtime.Object) error {
			inner, err := flatten(item.(*unstructured.Unstructured))
			items = append(items, inner...)
			return err
		})
		return items, err
	}
	if object.GetKind() == "" || object.GetAPIVersion() == "" || object.GetName() == "" {
		return nil, errors.New("an object needs apiVersion, kind and metadata.name")
	}
	return []*unstructured.Unstructured{object}, nil
}

// applyManifests applies all objects, in any order: what cannot be applied yet is tried again after the others.
func (c *cluster) applyManifests(ctx context.Context, pending []manifest) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.typed.Discovery()))
	deadline := time.Now().Add(applyPatience)
	for {
		var failed []manifest
		var causes []error
		for _, m := range pending {
			err := c.apply(ctx, mapper, m.object)
			if err == nil {
				continue
			}
			err = fmt.Errorf("apply %s: %w", m, err)
			if hopeless(err) {
				return err
			}
			failed, causes = append(failed, m), append(causes, err)
		}
		if len(failed) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d manifests could not be applied within %s: %w", len(failed), applyPatience, errors.Join(causes...))
		}
		if len(failed) < len(pending) {
			deadline = time.Now().Add(applyPatience) // it goes forward
		}
		pending = failed
		mapper.Reset() // a kind may have come meanwhile
		select {
		case <-ctx.Done():
			return fmt.Errorf("apply manifests: %w", errors.Join(append(causes, ctx.Err())...))
		case <-time.After(pollEvery):
		}
	}
}

func (c *cluster) apply(ctx context.Context, mapper meta.RESTMapper, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	resource := c.dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		_, err = resource.Apply(ctx, object.GetName(), object, options)
		return err
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	_, err = resource.Namespace(namespace).Apply(ctx, object.GetName(), object, options)
	return err
}

// hopeless says whether an object is wrong in itself, so that no later try can succeed.
func hopeless(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsMethodNotSupported(err) ||
		apierrors.IsRequestEntityTooLargeError(err)
}
