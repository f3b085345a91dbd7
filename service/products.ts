/** What the service sells. Fixed here; a store with the same function can take its place. */

export interface Product {
  readonly id: number
  readonly name: string
  readonly price: number
}

const PRODUCTS: readonly Product[] = [
  { id: 1, name: 'Anchor', price: 49.99 },
  { id: 2, name: 'Hawser', price: 99.99 },
  { id: 3, name: 'Windlass', price: 149.99 },
]

/** The first `limit` products by id. */
export async function listProducts(limit: number): Promise<readonly Product[]> {
  return PRODUCTS.slice(0, limit)
}
