"""Who is who: keys made where they live, a roster that names them, signatures over canonical bytes."""
