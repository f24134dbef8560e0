/** The tables of the lab's service. */
export const SCHEMA = `
CREATE TABLE IF NOT EXISTS orders (
  id uuid PRIMARY KEY,
  amount integer NOT NULL,
  region text NOT NULL,
  placed_at timestamptz NOT NULL DEFAULT clock_timestamp()
)`;
