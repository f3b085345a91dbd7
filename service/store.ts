/** Where the products are kept: in the process itself, or in a database (postgres-store.ts). */
import { PRODUCTS, type Product } from './products.ts'

export interface Store {
  /** The first `limit` products by id. @throws HttpError 503 while the store does not answer */
  listProducts(limit: number): Promise<readonly Product[]>
  /** Whether it answered when it was asked last. */
  isReady(): boolean
  /** Gives its connections back; it answers nothing more. */
  close(): Promise<void>
}

/** The store of a process without a database. */
export function createMemoryStore(): Store {
  return {
    listProducts: async (limit) => PRODUCTS.slice(0, limit),
    isReady: () => true,
    close: async () => {},
  }
}
