-- The demo's shop. Names, cards and numbers are made up; the cards are of the
-- ranges that payment providers keep for tests, with valid check digits.
CREATE FUNCTION pg_temp.luhn(digits text) RETURNS text LANGUAGE sql AS $$
  SELECT digits || ((10 - sum(CASE WHEN i % 2 = length(digits) % 2 THEN d * 2 - CASE WHEN d > 4 THEN 9 ELSE 0 END ELSE d END) % 10) % 10)::text
  FROM (SELECT i, substr(digits, i, 1)::int AS d FROM generate_series(1, length(digits)) AS i) AS s
$$;

CREATE TABLE customers (
  id bigint PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL UNIQUE,
  phone text NOT NULL,
  ssn text NOT NULL,
  card text NOT NULL,
  note text,
  created timestamptz NOT NULL
);
CREATE TABLE products (id bigint PRIMARY KEY, name text NOT NULL, price numeric(10, 2) NOT NULL, stock int NOT NULL);
CREATE TABLE orders (
  id bigint PRIMARY KEY,
  customer bigint NOT NULL REFERENCES customers,
  product bigint NOT NULL REFERENCES products,
  quantity int NOT NULL,
  ordered timestamptz NOT NULL
);

INSERT INTO customers
SELECT i, first || ' ' || last, lower(first || '.' || last) || i || '@example.com',
  '+1 212 555 ' || lpad((100 + i % 100)::text, 4, '0'),
  lpad((100 + i * 7 % 500)::text, 3, '0') || '-' || lpad((10 + i % 89)::text, 2, '0') || '-' || lpad((1000 + i * 37 % 8999)::text, 4, '0'),
  pg_temp.luhn('411111' || lpad((i * 7919 % 1000000000)::text, 9, '0')),
  CASE WHEN i % 10 = 0 THEN 'called from ' || '+1 212 555 ' || lpad((100 + i % 100)::text, 4, '0') || ' about card '
    || pg_temp.luhn('411111' || lpad((i * 7919 % 1000000000)::text, 9, '0')) END,
  timestamptz '2026-01-01' + i * interval '7 hours'
FROM (SELECT i,
    (ARRAY['Ada', 'Ben', 'Chloe', 'Dev', 'Emma', 'Femi', 'Grace', 'Hugo', 'Ines', 'Jonas'])[1 + i % 10] AS first,
    (ARRAY['Adler', 'Brandt', 'Costa', 'Dubois', 'Evans', 'Fischer', 'Garcia', 'Haddad', 'Ito', 'Jansen', 'Khan'])[1 + i % 11] AS last
  FROM generate_series(1, 200) AS i) AS people;

INSERT INTO products
SELECT i, (ARRAY['teapot', 'lamp', 'notebook', 'backpack', 'kettle', 'headphones', 'chair', 'clock'])[i], 7.5 * i, 20 * i
FROM generate_series(1, 8) AS i;

INSERT INTO orders
SELECT i, 1 + i * 31 % 200, 1 + i % 8, 1 + i % 3, timestamptz '2026-02-01' + i * interval '53 minutes'
FROM generate_series(1, 1000) AS i;
